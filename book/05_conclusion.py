# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 Conclusion
#
# This page sets what the paper concludes beside what this edition has found so far, and lists what is open. It computes nothing; its numbers come from the pages it links to.

# %% [markdown]
# ## What the paper concludes
#
# The paper joins two subjects. From attacks it takes a method: raise the loss, pay for what people would see. From robust optimisation it takes a use for the method: the attacks
# form the worst nearby data, and training on them is meant to make a classifier depend on what people see. Its test is geographic fairness, with accuracy regressed on income over countries, and an F-test for whether a bias exists,
# and t-tests for whether one training method leaves less of it than another.
#
# The authors name one limit themselves. The models that they compare differ by the randomness of training only; the data set is one and the same. Their tests therefore speak about models *given* that data set, and not about
# what would happen with another sample of photographs.
