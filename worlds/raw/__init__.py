"""Raw videos, as a camera crew or a crawl of the web would hand them over, and the truth about them."""
