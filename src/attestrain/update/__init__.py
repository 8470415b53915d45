"""From published updates to the next checkpoint: codecs, screening, aggregation, outer optimizers. Exact everywhere."""
