"""An executable edition of *Human Imperceptible Attacks and Applications to Improve Fairness*.

What there is; nothing imports from a later line of this list.

- ``checks`` (of what is given), ``paper`` (its numbers), ``files``, ``fingerprints`` (by which runs
  are told apart), ``progress``, ``executors``, ``rounding`` (of a GPU)
- ``images`` (8 bit, load and save), ``color`` (CIEDE2000), ``weights`` (checkpoints)
- ``efficientnet_lite``, ``classifiers``, ``pieapp``, ``features`` (of NPTM), ``distances`` (LPIPS,
  DISTS, saliency), ``costs`` (ground costs), ``defenses``, ``duality`` (Equations 2 to 4)
- ``attacks``: Algorithm 1, ``attacks.imperceptible``, and what it is compared with, a file each
- ``fairness`` (slopes and tests), ``geography`` (countries), ``simulation`` (of a geography),
  ``power`` (of the tests), ``datasets``
- ``runs`` (folders of records), ``batches``, ``evaluate`` (attacks on data sets), ``replicates``,
  ``dro`` (Algorithms 2 and 3), ``experiment`` (Section 4, set up)
- ``findings``: from records to the numbers and words of a page
- ``figures``: from records to a figure or table
- ``pages``, ``runner`` and ``book``: how pages are run and become a book
- ``scoreboard``: the paper's claims and numbers beside ours
"""

__version__ = "0.1.0"
