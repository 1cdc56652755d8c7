"""Read and write clips in tars."""
