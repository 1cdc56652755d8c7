"""Read, cut and write video files with exact timestamps. A leaf: imports nothing of ours."""
