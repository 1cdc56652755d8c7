"""Cut and encode kept clips."""
