"""What the review page takes from other packages: pictures of frames, and the rules that kept a clip."""
