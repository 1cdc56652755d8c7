"""The `/v1/videos` interface on one's own weights, and the page that uses it: jobs, queue, worker."""
