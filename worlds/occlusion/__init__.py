"""The family `occlusion`: a thing is hidden for a while and reappears unchanged."""
