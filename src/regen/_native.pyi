"""The compiled kernels (csrc/module.cpp). Pointers are addresses as int, 0 where absent; nothing is checked here."""

def isas() -> list[str]:
    """Instruction sets that are compiled in and run on this processor, best first."""

def isa() -> str:
    """The instruction set in use."""

def use(isa: str) -> None:
    """Use this instruction set from now on."""
