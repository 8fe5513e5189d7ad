"""The fingerprint component: the digest of the sources' present content."""
