"""Parts of benchmarks/peers.py. `serve`, `convert` and `runtimes` run in the peers' interpreter and need no tvmsr."""
