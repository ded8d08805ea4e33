"""What is predicted: closed-form results of the papers, one function each, named for the result, with its
source.

Everything here is plain NumPy and knows nothing of fields and flows: an independent second opinion on them.
"""

from __future__ import annotations

from measureflow.theory.circle_clusters import eigenvalues_of_equal_clusters, escape_time
from measureflow.theory.cluster_counts import expected_modes_on_sphere
from measureflow.theory.consensus import (
    contraction_of_a_layer,
    effective_rate_of_layers,
    hemisphere_rate,
    rate_at_consensus,
    rates_at_causal_consensus,
)
from measureflow.theory.counting import (
    PARKING,
    cap_mass,
    chance_of_a_common_hemisphere,
    expected_parked_centres,
    expected_peaks_of_kernel_density,
    expected_strong_centres,
)
from measureflow.theory.critical_points import CriticalPoint, critical_points_on_circle, hessian_on_circle
from measureflow.theory.emergence import emergence_time, selected_peaks
from measureflow.theory.equiangular import (
    beta_of_clustering_time,
    clustering_time,
    cosine_of_equiangular_tokens,
    gap_of_equiangular_tokens,
    speed_of_equiangular_tokens,
)
from measureflow.theory.form_rates import (
    FormRates,
    energy_on_degenerate_form,
    largest_rate_of_limit,
    rates_around_uniform_of_form,
    rates_of_null_pair,
    rates_of_one_cluster,
    rates_of_two_clusters,
    rotation_of_polygon,
    rotation_of_ring,
    single_cluster_window,
    stable_limits,
    variance_on_degenerate_form,
)
from measureflow.theory.gaussians import blow_up_time_of_gaussian, covariance_of_gaussian, limit_of_gaussian
from measureflow.theory.gram import span_coordinates, velocity_of_gram
from measureflow.theory.heads import HeadSpectra, spectra_of_heads
from measureflow.theory.invariants import cross_ratios, growth_of_energy
from measureflow.theory.long_context import (
    cosine_after_attention,
    critical_beta_of_nearest_key,
    critical_gamma,
    gap_after_attention,
    limit_of_cosine_after_attention,
    participation_of_keys,
)
from measureflow.theory.mean_shift import gradient_of_log_partition, mean_shift_velocity
from measureflow.theory.metastability import (
    bounds_of_collapse,
    largest_overlap_of_caps,
    margin_of_separation,
    metastable_window,
    spread_of_projected_gaussians,
)
from measureflow.theory.noise import (
    cosine_of_brownian_motion,
    critical_kappa,
    order_parameter_near_onset,
    tricritical_beta,
)
from measureflow.theory.normalisations import (
    SCHEMES,
    alpha_for_cosine,
    bound_on_initial_output,
    clock_of_normalisation,
    cone_of_local_rates,
    gap_and_radius_of_normalised_tokens,
    initial_speed_of_normalised_tokens,
    output_of_equiangular_tokens,
    rate_of_variance,
    speed_factor,
    speed_of_uniform_tokens,
    switch_for_cosine,
)
from measureflow.theory.ott_antonsen import order_parameter_of_poisson_density
from measureflow.theory.phase_front import (
    error_of_phase_front,
    rates_of_overlap_fluctuations,
    width_of_phase_front,
)
from measureflow.theory.separated import are_separated_on_circle, chance_of_separation
from measureflow.theory.stability import distance_to_no_temperature, dobrushin_constant, growth_of_twins
from measureflow.theory.staircase import Stair, collision_radius, crossing_time, length_of_a_step, staircase
from measureflow.theory.stationary_states import (
    Branch,
    StationaryState,
    Transition,
    branch_of_stationary_states,
    stationary_states,
    transition,
)
from measureflow.theory.two_clusters import (
    asymptotic_merge_time,
    cosine_of_two_clusters,
    cosine_of_two_tokens,
    gap_of_two_clusters,
    merge_time,
    speed_of_two_clusters,
)
from measureflow.theory.uniform_measure import (
    dominant_degree,
    funk_hecke_coefficients,
    growth_rates_around_uniform,
    mean_field_exponent,
    switching_betas,
)

__all__ = [
    "PARKING",
    "SCHEMES",
    "Branch",
    "CriticalPoint",
    "FormRates",
    "HeadSpectra",
    "Stair",
    "StationaryState",
    "Transition",
    "alpha_for_cosine",
    "are_separated_on_circle",
    "asymptotic_merge_time",
    "beta_of_clustering_time",
    "blow_up_time_of_gaussian",
    "bound_on_initial_output",
    "bounds_of_collapse",
    "branch_of_stationary_states",
    "cap_mass",
    "chance_of_a_common_hemisphere",
    "chance_of_separation",
    "clock_of_normalisation",
    "clustering_time",
    "collision_radius",
    "cone_of_local_rates",
    "contraction_of_a_layer",
    "cosine_after_attention",
    "cosine_of_brownian_motion",
    "cosine_of_equiangular_tokens",
    "cosine_of_two_clusters",
    "cosine_of_two_tokens",
    "covariance_of_gaussian",
    "critical_beta_of_nearest_key",
    "critical_gamma",
    "critical_kappa",
    "critical_points_on_circle",
    "cross_ratios",
    "crossing_time",
    "distance_to_no_temperature",
    "dobrushin_constant",
    "dominant_degree",
    "effective_rate_of_layers",
    "eigenvalues_of_equal_clusters",
    "emergence_time",
    "energy_on_degenerate_form",
    "error_of_phase_front",
    "escape_time",
    "expected_modes_on_sphere",
    "expected_parked_centres",
    "expected_peaks_of_kernel_density",
    "expected_strong_centres",
    "funk_hecke_coefficients",
    "gap_after_attention",
    "gap_and_radius_of_normalised_tokens",
    "gap_of_equiangular_tokens",
    "gap_of_two_clusters",
    "gradient_of_log_partition",
    "growth_of_energy",
    "growth_of_twins",
    "growth_rates_around_uniform",
    "hemisphere_rate",
    "hessian_on_circle",
    "initial_speed_of_normalised_tokens",
    "largest_overlap_of_caps",
    "largest_rate_of_limit",
    "length_of_a_step",
    "limit_of_cosine_after_attention",
    "limit_of_gaussian",
    "margin_of_separation",
    "mean_field_exponent",
    "mean_shift_velocity",
    "merge_time",
    "metastable_window",
    "order_parameter_near_onset",
    "order_parameter_of_poisson_density",
    "output_of_equiangular_tokens",
    "participation_of_keys",
    "rate_at_consensus",
    "rate_of_variance",
    "rates_around_uniform_of_form",
    "rates_at_causal_consensus",
    "rates_of_null_pair",
    "rates_of_one_cluster",
    "rates_of_overlap_fluctuations",
    "rates_of_two_clusters",
    "rotation_of_polygon",
    "rotation_of_ring",
    "selected_peaks",
    "single_cluster_window",
    "span_coordinates",
    "spectra_of_heads",
    "speed_factor",
    "speed_of_equiangular_tokens",
    "speed_of_two_clusters",
    "speed_of_uniform_tokens",
    "spread_of_projected_gaussians",
    "stable_limits",
    "staircase",
    "stationary_states",
    "switch_for_cosine",
    "switching_betas",
    "transition",
    "tricritical_beta",
    "variance_on_degenerate_form",
    "velocity_of_gram",
    "width_of_phase_front",
]
