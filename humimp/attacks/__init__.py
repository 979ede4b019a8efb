"""Attacks: pure functions ``(model, images, labels, *, options) -> adversarial images``.

One attack a file. The result has the images' shape, dtype and device, and holds valid 8-bit images
unless the caller asks otherwise. Each image's result is what it would be alone, as far as the
model's and the cost's last bits do not depend on the batch; where they do, in float32, attacks that
divide small differences (PPGD most, LPA) magnify that, and in float64 it is gone. An attack
measures nothing, prints nothing and leaves the model as it is.
"""

from humimp.attacks.alma import alma
from humimp.attacks.ddn import ddn
from humimp.attacks.eight_bit import eight_bit
from humimp.attacks.imperceptible import imperceptible
from humimp.attacks.lpa import lpa
from humimp.attacks.no_attack import no_attack
from humimp.attacks.perc_al import perc_al
from humimp.attacks.pgd_l2 import pgd_l2
from humimp.attacks.pgd_step import pgd_step
from humimp.attacks.ppgd import ppgd
from humimp.attacks.ssim_step import ssim_step

__all__ = [
    "alma",
    "ddn",
    "eight_bit",
    "imperceptible",
    "lpa",
    "no_attack",
    "perc_al",
    "pgd_l2",
    "pgd_step",
    "ppgd",
    "ssim_step",
]
