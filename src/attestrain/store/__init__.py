"""Where bytes live: atomic files, content-addressed blobs checked on every read, key files and the durable log."""
