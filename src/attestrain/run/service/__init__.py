"""The sequencer's HTTP service and its clients (spec/http.md)."""
