"""The console's pages, one module a page; each is a function from a request to its answer."""
