"""The demo: the whole journey, raw clips to a generated video, on embedded defaults."""
