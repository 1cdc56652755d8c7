"""Training of the embedded captioner. Only `kinora` imports this package."""
