"""One consensus module, or a few with a wire between them, driven by hand in unit tests."""
