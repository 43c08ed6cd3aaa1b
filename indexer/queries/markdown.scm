; The block grammar only: links and emphasis would need a second parse of every paragraph.

(section (atx_heading heading_content: (inline) @name.heading)) @def.heading
(setext_heading heading_content: (paragraph (inline) @name.heading)) @def.heading
