"""List sources, and copy remote ones to the machine that decodes them."""
