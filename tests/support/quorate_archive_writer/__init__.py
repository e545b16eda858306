"""The archive's writer under test, with a loop of its own."""
