"""List sources and have each as a local file."""
