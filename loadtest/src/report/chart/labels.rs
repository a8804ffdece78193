//! The placement of labels beside curves: each as close to its curve as the others allow.

/// Moves the wanted heights apart to at least `gap`, in the same order, from `top` down; they stay above `bottom` if
/// they fit.
pub(super) fn spread(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    let height = |index: usize| wanted.get(index).copied().unwrap_or_default();
    order.sort_by(|left, right| height(*left).total_cmp(&height(*right)));
    // Downwards, each label yields to the one above it; then upwards, labels below `bottom` move back.
    let mut sorted: Vec<f64> = Vec::with_capacity(wanted.len());
    for index in &order {
        let least = sorted.last().map_or(top, |above| above + gap);
        sorted.push(height(*index).max(least));
    }
    let mut limit = bottom.max(top + gap * wanted.len().saturating_sub(1) as f64);
    for place in sorted.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - gap;
    }
    let mut spread = vec![0.0; wanted.len()];
    for (index, place) in order.into_iter().zip(sorted) {
        if let Some(slot) = spread.get_mut(index) {
            *slot = place;
        }
    }
    spread
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_with_room_stay_where_they_are() {
        assert_eq!(spread(&[50.0, 10.0, 30.0], 14.0, 0.0, 100.0), [50.0, 10.0, 30.0]);
    }

    #[test]
    fn crowded_labels_move_apart_in_order() {
        assert_eq!(spread(&[10.0, 11.0, 10.5], 10.0, 0.0, 100.0), [10.0, 30.0, 20.0]);
    }

    #[test]
    fn labels_pushed_out_come_back() {
        assert_eq!(spread(&[95.0, 96.0, 97.0], 10.0, 0.0, 100.0), [80.0, 90.0, 100.0]);
        assert_eq!(
            spread(&[5.0, 5.0, 5.0], 10.0, 0.0, 12.0),
            [0.0, 10.0, 20.0],
            "labels that do not fit extend downwards"
        );
        assert_eq!(spread(&[], 10.0, 0.0, 12.0), [0.0; 0]);
    }
}
