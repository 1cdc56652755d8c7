"""The review page over HTTP: media by range, sessions, and the JSON interface of the desk."""
