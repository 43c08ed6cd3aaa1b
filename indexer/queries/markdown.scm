; The block grammar only: links and emphasis would need a second parse of every paragraph.
; A section is captured apart from its heading: one pattern for both stays open until the section ends, and
; every later capture of the file waits for it.

(section) @def.heading
(atx_heading heading_content: (inline) @name.heading)
(setext_heading heading_content: (paragraph (inline) @name.heading)) @def.heading
