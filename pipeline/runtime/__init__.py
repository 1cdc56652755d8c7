"""Run stages on Ray: session, tasks, waves, attempts, failures, progress."""
