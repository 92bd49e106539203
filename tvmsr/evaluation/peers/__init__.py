"""Other runtimes on the very network that tvmsr compiled, by their own packages: for times and outputs beside ours."""

from __future__ import annotations

from tvmsr.evaluation.peers.peer import PEERS, Peer, PeerTiming, ready_peer
from tvmsr.evaluation.peers.place import check_place

__all__ = ["PEERS", "Peer", "PeerTiming", "check_place", "ready_peer"]
