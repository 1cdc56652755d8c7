"""The family `shapes`: flat things that move over a plain background, or stay still."""
