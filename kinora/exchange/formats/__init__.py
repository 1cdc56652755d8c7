"""Writers of exports, a module for each format: `write(rows, folder, config, reader)`."""
