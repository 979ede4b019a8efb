"""Defences that change images before they are classified (Section 3.2, Figure 4).

A defence is a pure function of the images alone: it knows neither the attack nor the classifier.
"""

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from humimp import checks
from humimp.images import from_uint8, to_uint8


def jpeg(images: Tensor, quality: int) -> Tensor:
    """Compress images as JPEG and decompress them (Das et al. 2018; Guo et al. 2018).

    Parameters
    ----------
    images
        Shape (N, C, H, W), C = 1 or 3, values in [0, 1]; rounded to 8 bit before compression.
    quality
        1 to 95, as in Pillow and libjpeg: the smaller, the stronger the compression.

    Returns
    -------
    Tensor
        Same shape, dtype and device; 8 bit.

    Raises
    ------
    ValueError
        For bad images, or another quality.

    Notes
    -----
    Pillow's encoder with its default settings: the chroma of colour images is subsampled 4:2:0;
    images of one channel become grayscale JPEGs.
    """
    checks.images(images)
    checks.count(quality, "quality", low=1, high=95)
    levels = to_uint8(images.detach()).permute(0, 2, 3, 1).cpu().numpy()
    decoded = torch.from_numpy(np.stack([_through_jpeg(image, quality) for image in levels]))
    decoded = decoded.permute(0, 3, 1, 2).contiguous()
    return from_uint8(decoded.to(images.device), images.dtype)


def bit_depth(images: Tensor, bits: int) -> Tensor:
    """Round images to fewer levels (Guo et al. 2018; He et al. 2017).

    Each value becomes the nearest of the 2ᵇ values k/(2ᵇ − 1), then the nearest 8-bit level to
    that, as a file would hold it. At 8 bits, 8-bit images stay as they are.

    Parameters
    ----------
    images
        Shape (N, C, H, W), C = 1 or 3, values in [0, 1].
    bits
        b, from 1 (black and white in each channel) to 8.

    Returns
    -------
    Tensor
        Same shape, dtype and device; 8 bit.

    Raises
    ------
    ValueError
        For bad images, or another number of bits.
    """
    checks.images(images)
    checks.count(bits, "bits", low=1, high=8)
    top = 2**bits - 1
    coarse = (images.detach() * top).round() / top
    return from_uint8(to_uint8(coarse), images.dtype)


def _through_jpeg(levels: np.ndarray, quality: int) -> np.ndarray:
    """Encode and decode one image, shape (H, W, C), uint8."""
    file = io.BytesIO()
    image = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    image.save(file, "JPEG", quality=quality)
    with Image.open(file) as decoded:
        return np.array(decoded, dtype=np.uint8).reshape(levels.shape)
