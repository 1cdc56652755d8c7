"""The family `occlusion`: a thing is hidden for a while, and comes back as it was."""
