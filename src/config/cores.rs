//! Which cores this process may use.

/// The numbers of the cores in the process' affinity mask, ascending; core 0 if the system does not say.
pub(crate) fn usable() -> Vec<usize> {
    let mut cores: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    cores.sort_unstable();
    if cores.is_empty() { vec![0] } else { cores }
}
