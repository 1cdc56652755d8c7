"""Videos from a trained model: conditions as a value, verbs that make them, and one sampler."""
