"""Laws of loss, one module a law: how each is fitted and what its curve says. No resampling, no tables.

A new law is one module here that subclasses a kind of `base`, and one line in the list below.
"""

from lilliput.analysis.laws.curved import CurvedPowerLaw
from lilliput.analysis.laws.isoflop import IsoFlopLaw, MinimumLaw
from lilliput.analysis.laws.parametric import ParametricLaw
from lilliput.analysis.laws.power import PowerLaw, PowerLawAboveFloor
from lilliput.analysis.laws.registry import register_law
from lilliput.analysis.laws.repeated_fit import RepeatedLaw
from lilliput.analysis.laws.segmented import JumpingPowerLaw, SegmentedPowerLaw
from lilliput.analysis.laws.smoothly_broken import SmoothlyBrokenPowerLaw

for _law in (
    PowerLaw(),
    PowerLawAboveFloor(),
    CurvedPowerLaw(),
    SegmentedPowerLaw(),
    JumpingPowerLaw(),
    SmoothlyBrokenPowerLaw(),
    ParametricLaw(),
    RepeatedLaw(),
    IsoFlopLaw(),
    MinimumLaw(),
):
    register_law(_law)
