"""Errors of requests that are answered with a status of their own."""


class BadRequest(ValueError):
    """The body or the parameters of a request are not what they should be: 400."""


class NotFound(LookupError):
    """Nothing of that id in the dataset: 404."""
