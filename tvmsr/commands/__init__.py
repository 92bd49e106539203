"""One module and one function a command: what `tvmsr NAME` does, callable from Python with the same arguments."""
