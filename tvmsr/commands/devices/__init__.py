"""The commands of `tvmsr device`: boards and phones by name."""
