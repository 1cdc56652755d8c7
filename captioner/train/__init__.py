"""Train the captioner that ships in the repository. Only `kinora` imports this package."""
