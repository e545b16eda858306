"""A consensus agent on a real loop, with everything around it in memory."""
