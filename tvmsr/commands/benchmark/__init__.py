"""What `tvmsr bench` does, in parts: its results, one device, energy, peers, what is compiled."""
