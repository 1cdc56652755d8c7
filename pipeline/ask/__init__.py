"""Ask a vision-language model questions about kept clips: their answers are scores."""
