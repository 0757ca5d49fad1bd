//! A line through measured points, as SVG.

use plotters::prelude::*;
use std::error::Error;
use std::path::Path;

/// Values over what grows.
pub(super) struct Drawing<'a> {
    pub(super) title: &'a str,
    pub(super) axis: &'a str,
    pub(super) points: &'a [(f64, f64)],
}

const SIZE: (u32, u32) = (640, 400);

impl Drawing<'_> {
    /// # Errors
    /// The file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), String> {
        self.draw(path)
            .map_err(|error| format!("cannot draw {}: {error}", path.display()))
    }

    /// What grows does so by factors; the values begin at 0.
    fn draw(&self, path: &Path) -> Result<(), Box<dyn Error + '_>> {
        let (least, most) = bounds(self.points.iter().map(|(at, _)| *at));
        let (_, highest) = bounds(self.points.iter().map(|(_, value)| *value));
        let area = SVGBackend::new(path, SIZE).into_drawing_area();
        area.fill(&WHITE).map_err(|error| error.to_string())?;
        let mut chart = ChartBuilder::on(&area)
            .caption(self.title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(70)
            .build_cartesian_2d((least..most).log_scale(), 0.0..highest * 1.1)
            .map_err(|error| error.to_string())?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc(self.axis).draw().map_err(|error| error.to_string())?;
        let points = self.points.iter().copied();
        let series = LineSeries::new(points, &BLUE).point_size(3);
        chart.draw_series(series).map_err(|error| error.to_string())?;
        area.present().map_err(|error| error.to_string())?;
        Ok(())
    }
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}
