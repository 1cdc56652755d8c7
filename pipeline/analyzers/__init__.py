"""What one decoding pass measures: an analyzer sees every frame, then is asked about each clip."""
