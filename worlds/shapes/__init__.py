"""The family `shapes`: flat things that go over a plain background, or stay still."""
