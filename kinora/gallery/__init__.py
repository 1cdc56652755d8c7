"""One page with playing videos of every verb, successes and failures alike."""
