"""The parameters that a candidate's learner knows: it would train with a misspelt one as if it were not there.

Names that the training sets itself (seeds, threads, objective, verbosity) are none of them, nor are those that only
matter for files, devices and ranking.
"""

import difflib


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_LIGHTGBM = _names(
    """
    n_estimators learning_rate num_leaves max_depth boosting data_sample_strategy linear_lambda
    min_child_samples min_data_in_leaf min_child_weight min_sum_hessian_in_leaf min_split_gain min_gain_to_split
    subsample bagging_fraction subsample_freq bagging_freq pos_bagging_fraction neg_bagging_fraction
    colsample_bytree feature_fraction colsample_bynode feature_fraction_bynode extra_trees
    reg_alpha lambda_l1 reg_lambda lambda_l2 max_delta_step path_smooth
    drop_rate max_drop skip_drop xgboost_dart_mode uniform_drop top_rate other_rate
    min_data_per_group max_cat_threshold cat_l2 cat_smooth max_cat_to_onehot
    monotone_constraints monotone_constraints_method monotone_penalty interaction_constraints
    cegb_tradeoff cegb_penalty_split feature_contri
    max_bin min_data_in_bin bin_construct_sample_cnt subsample_for_bin use_missing zero_as_missing enable_bundle
    use_quantized_grad num_grad_quant_bins quant_train_renew_leaf stochastic_rounding
    is_unbalance scale_pos_weight boost_from_average
    """
)
_HIST_GRADIENT_BOOSTING = _names(
    """
    learning_rate max_iter max_leaf_nodes max_depth min_samples_leaf l2_regularization max_features max_bins
    monotonic_cst interaction_cst early_stopping scoring validation_fraction n_iter_no_change tol class_weight
    """
)
_LINEAR = frozenset({"alpha"})

KNOWN = {"lightgbm": _LIGHTGBM, "hist_gradient_boosting": _HIST_GRADIENT_BOOSTING, "linear": _LINEAR}


def unknown(kind: str, name: str) -> str:
    """Tell what is right instead of a parameter that a kind of candidate does not know; nothing where it does."""
    known = KNOWN[kind]
    if name in known:
        return ""
    near = difflib.get_close_matches(name, known, n=1)
    return f"is no parameter of {kind}; " + (
        f"did you mean {near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    )
