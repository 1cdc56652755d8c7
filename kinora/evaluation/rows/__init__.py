"""One module a row: what it generates, how it is judged, its figures."""
