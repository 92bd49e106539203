"""TVM's RPC as a client speaks it, with limits on time: the protocol, the tracker, and the agent behind it."""
